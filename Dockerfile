# The program, and what it needs, on Debian's slim image:
#
#   docker build -t candist .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" -e OPENAI_API_KEY candist run support.toml

FROM debian:bookworm-slim AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      binutils ca-certificates curl g++ libc-bin make patchelf pkg-config python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
ARG RUST=1.95.0
RUN curl -fsSL https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain "$RUST"
ENV PATH=/root/.cargo/bin:$PATH
WORKDIR /src
# libtorch before the sources: it does not change with them.
COPY scripts/setup.sh scripts/get-libtorch.sh scripts/
RUN scripts/setup.sh
COPY . .
RUN cargo build --release --locked && scripts/dist.sh --folder-only --out /dist && mv /dist/candist-* /dist/candist

FROM debian:bookworm-slim
COPY --from=build /dist/candist /opt/candist
RUN useradd --create-home --uid 1000 candist && ln -s /opt/candist/bin/candist /usr/local/bin/candist
USER 1000
WORKDIR /work
ENTRYPOINT ["candist"]
CMD ["--help"]
