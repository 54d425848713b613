# syntax=docker/dockerfile:1
# docker build -t hongbao --build-arg REVISION="$(git rev-parse HEAD)" .

# The same Debian release in both stages: the binary links against its C library.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY migrations migrations
COPY src src
# The caches keep crates and objects from one build to the next; the binary leaves the cache in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin hongbao \
    && install -D target/release/hongbao /out/hongbao \
    && mkdir /out/data

# C library, CA certificates, time zones and nothing else: no shell, no package manager. A tag and no digest, so that
# a rebuild takes the security fixes of the base; pin the image that you deploy by its own digest (helm: image.digest).
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hongbao" \
      org.opencontainers.image.description="Issues red packets and vouchers for the services of a company, and never pays twice" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/hongbao /usr/local/bin/hongbao
COPY --from=build --chown=65532:65532 /out/data /var/lib/hongbao
# gRPC, and the second listener: metrics, provider callbacks, HTTP APIs.
EXPOSE 50051 9090
# The SQLite file of the embedded mode; keep it on a volume.
VOLUME ["/var/lib/hongbao"]
WORKDIR /var/lib/hongbao
# By number: Kubernetes cannot tell that a name is not root.
USER 65532:65532
# SIGTERM (the default) starts the drain.
ENTRYPOINT ["/usr/local/bin/hongbao"]
CMD ["serve"]
