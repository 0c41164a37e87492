// Load for the data-plane benchmark: raw frames as fast as one core can send them, and a ping-pong of datagrams.
//
//   load blast IFACE SECONDS FRAME_OCTETS VLAN SRC_MAC DST_MAC TARGETS    frames of FRAME_OCTETS (tag not counted),
//                                          TARGETS destination MACs in turn, from DST_MAC upwards; prints frames sent
//   load pong ADDRESS PORT                 answer each datagram
//   load ping ADDRESS PORT OCTETS COUNT    COUNT round trips of OCTETS; prints each one's nanoseconds

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 32  // what the kernel takes at one call
#define SLOTS 2048
#define SLOT_OCTETS 2048
#define BIGGEST 9216

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void put_mac(uint8_t *to, uint64_t mac)
{
	for (int i = 0; i < 6; i++)
		to[i] = mac >> (40 - 8 * i);
}

static uint16_t checksum(const uint8_t *from, int octets)
{
	uint32_t sum = 0;
	for (int i = 0; i < octets; i += 2)
		sum += from[i] << 8 | from[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

// Ethernet, perhaps a tag, IPv4, UDP, zeros. The length of the frame.
static int build(uint8_t *frame, int octets, int vlan, uint64_t src, uint64_t dst)
{
	int at = 12, ip_octets = octets - 14;
	put_mac(frame, dst);
	put_mac(frame + 6, src);
	if (vlan) {
		uint8_t tag[4] = { 0x81, 0, vlan >> 8, vlan };
		memcpy(frame + at, tag, 4);
		at += 4;
	}
	uint8_t ip[28] = { 8, 0, 0x45, 0, ip_octets >> 8, ip_octets, 0, 0, 0x40, 0, 64, 17 };
	uint8_t addresses[8] = { 10, 0, 0, 1, 10, 0, 0, 2 };
	memcpy(ip + 14, addresses, 8);
	uint16_t sum = checksum(ip + 2, 20);
	ip[12] = sum >> 8;
	ip[13] = sum;
	memcpy(frame + at, ip, 22);
	at += 22;
	uint8_t udp[8] = { 0x27, 0x0f, 0x27, 0x10, (ip_octets - 20) >> 8, ip_octets - 20, 0, 0 };
	memcpy(frame + at, udp, 8);
	return octets + (vlan ? 4 : 0);
}

// A socket of AF_XDP in copy mode: frames wait in memory that it shares with the kernel, and one call sends many. The
// kernel makes a socket buffer of each and hands it to the device, as it does for a packet socket; but it leaves headroom
// in front, as a host's own stack does, and wants no message structures read and checked for each frame.
struct sender {
	int fd;
	uint8_t *frames;           // SLOTS of SLOT_OCTETS
	struct xdp_desc *queue;    // which of them to send
	uint32_t *queued, *done;   // how many there were; the kernel reads the one and writes the other
	uint32_t *seen;            // of those done, how many we have noticed
};

static void *ring(int fd, off_t which, size_t octets)
{
	void *at = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, which);
	if (at == MAP_FAILED)
		die("mmap of a ring");
	return at;
}

static struct sender open_sender(const char *interface)
{
	struct sender s = { .fd = socket(AF_XDP, SOCK_RAW, 0) };
	int slots = SLOTS;
	if (s.fd < 0)
		die("AF_XDP");
	s.frames = mmap(NULL, SLOTS * SLOT_OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s.frames == MAP_FAILED)
		die("mmap of the frames");
	struct xdp_umem_reg memory = { .addr = (uintptr_t)s.frames, .len = SLOTS * SLOT_OCTETS, .chunk_size = SLOT_OCTETS };
	if (setsockopt(s.fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)))
		die("XDP_UMEM_REG");
	int rings[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_TX_RING };
	for (int i = 0; i < 3; i++)
		if (setsockopt(s.fd, SOL_XDP, rings[i], &slots, sizeof(slots)))
			die("rings of AF_XDP");
	struct xdp_mmap_offsets at;
	socklen_t size = sizeof(at);
	if (getsockopt(s.fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size))
		die("XDP_MMAP_OFFSETS");
	uint8_t *tx = ring(s.fd, XDP_PGOFF_TX_RING, at.tx.desc + SLOTS * sizeof(struct xdp_desc));
	uint8_t *completion = ring(s.fd, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr.desc + SLOTS * sizeof(uint64_t));
	s.queue = (void *)(tx + at.tx.desc);
	s.queued = (void *)(tx + at.tx.producer);
	s.done = (void *)(completion + at.cr.producer);
	s.seen = (void *)(completion + at.cr.consumer);
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY };
	address.sxdp_ifindex = if_nametoindex(interface);
	if (!address.sxdp_ifindex || bind(s.fd, (void *)&address, sizeof(address)))
		die(interface);
	return s;
}

static int blast(char **arg)
{
	double seconds = atof(arg[1]);
	int octets = atoi(arg[2]), vlan = atoi(arg[3]);
	uint64_t src = strtoull(arg[4], 0, 16), dst = strtoull(arg[5], 0, 16), targets = strtoull(arg[6], 0, 10);
	if (octets < 42 || octets > SLOT_OCTETS - 4 || !targets)
		return fprintf(stderr, "load: frames have 42 to %d bytes, and there is a target\n", SLOT_OCTETS - 4), 2;

	struct sender s = open_sender(arg[0]);
	for (int i = 0; i < SLOTS; i++) {
		uint8_t *frame = s.frames + i * SLOT_OCTETS;
		s.queue[i] = (struct xdp_desc){ .addr = i * SLOT_OCTETS, .len = build(frame, octets, vlan, src, dst) };
	}
	// Steps of a large prime: neighbours in time are no neighbours in a table.
	uint64_t target = 0, step = 7919 % targets, end = nanoseconds() + (uint64_t)(seconds * 1e9);
	uint32_t queued = 0, done = 0;
	for (bool more = true; more || done != queued; more = nanoseconds() < end) {
		done = __atomic_load_n(s.done, __ATOMIC_ACQUIRE);
		__atomic_store_n(s.seen, done, __ATOMIC_RELEASE);
		for (int i = 0; more && i < BATCH && queued - done < SLOTS; i++, queued++) {
			put_mac(s.frames + queued % SLOTS * SLOT_OCTETS, dst + target);
			target = target + step < targets ? target + step : target + step - targets;
		}
		__atomic_store_n(s.queued, queued, __ATOMIC_RELEASE);
		if (sendto(s.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS)
			die("send");
	}
	printf("%u\n", done);
	return 0;
}

static int datagrams(const char *address, const char *port, int listen)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	struct timeval patience = { .tv_sec = 2 };
	if (fd < 0 || !inet_aton(address, &at.sin_addr))
		die(address);
	if (listen ? bind(fd, (void *)&at, sizeof(at)) : connect(fd, (void *)&at, sizeof(at)))
		die(address);
	if (!listen && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("SO_RCVTIMEO");
	return fd;
}

static int pong(char **arg)
{
	uint8_t data[BIGGEST];
	struct sockaddr_in from;
	int fd = datagrams(arg[0], arg[1], 1);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t octets = recvfrom(fd, data, sizeof(data), 0, (void *)&from, &size);
		if (octets < 0 || sendto(fd, data, octets, 0, (void *)&from, size) < 0)
			die("pong");
	}
}

static int ping(char **arg)
{
	uint8_t data[BIGGEST] = {};
	int fd = datagrams(arg[0], arg[1], 0), octets = atoi(arg[2]), count = atoi(arg[3]), lost = 0;
	for (int i = 0; i < count; i++) {
		uint64_t start = nanoseconds();
		if (send(fd, data, octets, 0) < 0 || recv(fd, data, sizeof(data), 0) < 0) {
			if (++lost > 3)
				die("ping: no answer");
			continue;
		}
		printf("%llu\n", (unsigned long long)(nanoseconds() - start));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && !strcmp(argv[1], "blast"))
		return blast(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "pong"))
		return pong(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "ping"))
		return ping(argv + 2);
	return fprintf(stderr, "load: see the top of load.c\n"), 2;
}
