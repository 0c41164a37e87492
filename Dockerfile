# EZPath's images: a target for each service, one for NATS and one for the lab. compose.yaml builds and runs them.
# For BuildKit and for the classic builder alike; docs/COMPOSE.md explains the build arguments.
ARG BASE=debian:bookworm-slim

# ---- what all have: the user that whatever needs no privilege runs as, and the directory that the lab shares with the
# services (a new volume takes owner and mode from it)
FROM ${BASE} AS base
COPY docker/ca/ /usr/local/share/ca-certificates/
COPY docker/install-packages /usr/local/sbin/
RUN groupadd --gid 10001 ezpath \
    && useradd --uid 10001 --gid ezpath --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin ezpath \
    && install --directory --owner root --group ezpath --mode 2775 /run/ezpath
# Said in full: an imported base image may have no PATH of its own.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# ---- … and what most have
FROM base AS python
ARG APT_MIRROR=""
ARG APT_OPTIONS=""
RUN install-packages python3
ENV PYTHONUNBUFFERED=1

# ---- Python environments, from the lock file
FROM python AS build
ARG APT_MIRROR=""
ARG APT_OPTIONS=""
ARG PYTHON_INDEX=""
ARG UV_VERSION=0.13.9
RUN install-packages ca-certificates python3-venv
COPY docker/python-env /usr/local/sbin/
RUN python-env uv ${UV_VERSION}
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY p4rt/pyproject.toml p4rt/
COPY ezpath/pyproject.toml ezpath/
COPY tor/pyproject.toml tor/
COPY lab/pyproject.toml lab/
COPY bench/pyproject.toml bench/
COPY services/collector/pyproject.toml services/collector/
COPY services/decider/pyproject.toml services/decider/
COPY services/switch-writer/pyproject.toml services/switch-writer/
COPY services/host-writer/pyproject.toml services/host-writer/
# The decider has an environment of its own, with what it needs to hear Docker and Kubernetes as sources of endpoints:
# an HTTP library, which the console shares.
ARG SERVICES="ezpath-collector ezpath-switch-writer ezpath-host-writer"
ARG DECIDER="ezpath-decider ezpath --extra=console --extra=docker --extra=kubernetes --extra=traces"
RUN python-env locked /opt/ezpath/lab ezpath-lab \
    && python-env locked /opt/ezpath/services ${SERVICES} ezpath --extra=traces \
    && python-env locked /opt/ezpath/decider ${DECIDER}
COPY . .
RUN python-env project /opt/ezpath/lab ezpath-lab \
    && python-env project /opt/ezpath/services ${SERVICES} \
    && python-env project /opt/ezpath/decider ezpath-decider

# ---- NATS: nats-server, from the wheel that the lock file names
FROM base AS nats
COPY --from=build /opt/ezpath/lab/bin/nats-server /usr/local/bin/
COPY docker/nats-entry docker/http-ok /usr/local/bin/
RUN install --directory --owner ezpath --group ezpath /var/lib/nats
USER ezpath:ezpath
EXPOSE 4222
ENTRYPOINT ["nats-entry"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 CMD ["http-ok", "8222", "/healthz?js-enabled-only=true"]
STOPSIGNAL SIGTERM

# ---- the services
FROM python AS service
ENV PATH=/opt/ezpath/services/bin:$PATH EZPATH_READY_FILE=/tmp/ready
COPY docker/service-entry /usr/local/bin/
USER ezpath:ezpath
# Healthy is who does its work; who still waits for something is not unhealthy for some minutes.
HEALTHCHECK --interval=15s --timeout=3s --start-period=180s --retries=3 CMD ["test", "-e", "/tmp/ready"]
STOPSIGNAL SIGTERM

FROM service AS collector
COPY --from=build /opt/ezpath/services /opt/ezpath/services
ENTRYPOINT ["service-entry", "ezpath-collector"]

FROM service AS decider
ENV PATH=/opt/ezpath/decider/bin:$PATH
COPY --from=build /opt/ezpath/decider /opt/ezpath/decider
ENTRYPOINT ["service-entry", "ezpath-decider"]

FROM service AS console
ENV PATH=/opt/ezpath/decider/bin:$PATH
COPY --from=build /opt/ezpath/decider /opt/ezpath/decider
COPY docker/http-ok /usr/local/bin/
EXPOSE 8080
ENTRYPOINT ["service-entry", "ezpath", "console"]
HEALTHCHECK --interval=15s --timeout=3s --start-period=180s --retries=3 CMD ["http-ok", "8080", "/healthz"]

FROM service AS switch-writer
COPY --from=build /opt/ezpath/services /opt/ezpath/services
COPY p4/ezpath*.json p4/ezpath*.p4info.txtpb /usr/share/ezpath/p4/
ENV EZPATH_P4_DIR=/usr/share/ezpath/p4
ENTRYPOINT ["service-entry", "ezpath-switch-writer"]

FROM service AS host-writer
ARG APT_MIRROR=""
ARG APT_OPTIONS=""
USER root
RUN install-packages openvswitch-common
USER ezpath:ezpath
COPY --from=build /opt/ezpath/services /opt/ezpath/services
ENTRYPOINT ["service-entry", "ezpath-host-writer"]

# ---- Prometheus, as Debian has it
FROM base AS prometheus
ARG APT_MIRROR=""
ARG APT_OPTIONS=""
RUN install-packages prometheus \
    && install --directory --owner ezpath --group ezpath /var/lib/prometheus
COPY docker/http-ok /usr/local/bin/
USER ezpath:ezpath
EXPOSE 9090
ENTRYPOINT ["prometheus", "--storage.tsdb.path=/var/lib/prometheus", "--storage.tsdb.retention.time=7d"]
CMD ["--config.file=/etc/prometheus/prometheus.yaml"]
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s --retries=3 CMD ["http-ok", "9090", "/-/healthy"]
STOPSIGNAL SIGTERM

# ---- the lab: two racks in network namespaces of this container, with all that makes them
FROM python AS lab
ARG APT_MIRROR=""
ARG APT_OPTIONS=""
RUN install-packages clang ethtool iperf3 iproute2 iputils-ping kmod libbpf-dev openvswitch-switch tcpdump
ENV PATH=/opt/ezpath/lab/bin:$PATH
COPY --from=build /opt/ezpath/lab /opt/ezpath/lab
COPY p4/ezpath*.json p4/ezpath*.p4info.txtpb /usr/share/ezpath/p4/
COPY docker/lab-entry /usr/local/bin/
ENV EZPATH_P4_DIR=/usr/share/ezpath/p4
ENTRYPOINT ["lab-entry"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=5 CMD ["test", "-e", "/run/ezpath/racks-up"]
STOPSIGNAL SIGTERM
