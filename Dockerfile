# The relay in a small image without shell or package manager.
#
#   docker build -t ff-relay .
#   docker run -p 7000:7000 -v "$PWD/examples/offline:/config:ro" -e OFFLINE=true ff-relay

FROM rust:1.95-bookworm AS build
WORKDIR /src
# The C parts of the cryptography library and the allocator.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY proto proto
COPY src src
RUN cargo build --release --locked --bin ff-relay && strip target/release/ff-relay
# Owned by the user that the relay runs as.
RUN mkdir -p /image/config /image/data && chmod 0700 /image/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/ff-relay /usr/local/bin/ff-relay
COPY --from=build --chown=65532:65532 /image/config /config
COPY --from=build --chown=65532:65532 /image/data /data
ENV DATA_DIR=/data
VOLUME ["/data"]
EXPOSE 7000
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s CMD ["/usr/local/bin/ff-relay", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ff-relay"]
