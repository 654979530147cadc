# syntax=docker/dockerfile:1
# docker build --platform linux/amd64 -f images/cli.Dockerfile .
# `leakhound`, which is also the kubectl plugin and what `helm test` runs.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends clang libbpf-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# One cache for each platform: they build at once, and all of them into /src/target.
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=leakhound-cli-$TARGETPLATFORM,target=/src/target \
    cargo build --release --locked --package leakhound && \
    install -D target/release/leakhound /out/leakhound

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title=leakhound \
      org.opencontainers.image.source=https://github.com/leakhound/leakhound \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR BSD-3-Clause)"
COPY --from=build /out/leakhound /usr/bin/leakhound
USER 65532:65532
ENTRYPOINT ["/usr/bin/leakhound"]
