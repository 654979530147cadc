# syntax=docker/dockerfile:1
# docker build --platform linux/amd64 -f images/agent.Dockerfile .
# The probes read registers of x86-64; ebpf/build.rs refuses other architectures.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends clang libbpf-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# One cache for each platform: they build at once, and all of them into /src/target.
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=leakhound-agent-$TARGETPLATFORM,target=/src/target \
    cargo build --release --locked --package leakhound-node-agent && \
    install -D target/release/leakhound-agent /out/leakhound-agent

FROM gcr.io/distroless/cc-debian12
LABEL org.opencontainers.image.title=leakhound-agent \
      org.opencontainers.image.source=https://github.com/leakhound/leakhound \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR BSD-3-Clause)"
COPY --from=build /out/leakhound-agent /usr/bin/leakhound-agent
# Capabilities that a pod adds reach root only. The chart drops all others.
USER 0:0
ENTRYPOINT ["/usr/bin/leakhound-agent"]
