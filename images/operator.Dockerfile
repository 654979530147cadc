# syntax=docker/dockerfile:1
# docker build -f images/operator.Dockerfile .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The operator never touches the kernel, so no clang is needed, and it runs on every architecture that Rust knows.
# One cache for each platform: they build at once, and all of them into /src/target.
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=leakhound-operator-$TARGETPLATFORM,target=/src/target \
    cargo build --release --locked --package leakhound-operator && \
    install -D target/release/leakhound-operator /out/leakhound-operator

# glibc, libgcc and certificate authorities; no shell, nobody but `nonroot`, 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title=leakhound-operator \
      org.opencontainers.image.source=https://github.com/leakhound/leakhound \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /out/leakhound-operator /usr/bin/leakhound-operator
USER 65532:65532
ENTRYPOINT ["/usr/bin/leakhound-operator"]
