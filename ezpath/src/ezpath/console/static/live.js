// The page's parts as the server has them, over server-sent events. Whoever wants to be told registers with `on`.

const SILENCE_MS = 16000; // the server says something every five seconds
const AGAIN_MS = 1500;
const PARTS = ["bus", "network", "points", "flows", "marks", "sagas", "targets", "health", "journal"];

export class Live {
  constructor(url) {
    this.url = url;
    this.skew = 0; // the server's clock less ours, seconds
    this.listeners = new Map();
    this.begin();
  }

  /** `part`: one of PARTS, or `hello` (a connection begins: what was known is told anew), `lost`. */
  on(part, listener) {
    this.listeners.set(part, [...(this.listeners.get(part) ?? []), listener]);
  }

  /** Now, by the server's clock, Unix time in seconds. */
  now() {
    return Date.now() / 1000 + this.skew;
  }

  begin() {
    const source = (this.source = new EventSource(this.url));
    const heard = () => {
      clearTimeout(this.watch);
      this.watch = setTimeout(() => this.lost(), SILENCE_MS);
    };
    source.addEventListener("error", () => this.lost());
    for (const part of [...PARTS, "hello", "beat"]) {
      source.addEventListener(part, (message) => {
        heard();
        const data = JSON.parse(message.data);
        if (part === "hello" || part === "beat") this.skew = data.at - Date.now() / 1000;
        this.tell(part, data);
      });
    }
    heard();
  }

  lost() {
    clearTimeout(this.watch);
    this.source.close();
    this.tell("lost", null);
    this.watch = setTimeout(() => this.begin(), AGAIN_MS);
  }

  tell(part, data) {
    for (const listener of this.listeners.get(part) ?? []) listener(data);
  }
}
