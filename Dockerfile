# TradeFL in a container, and the chain that its contracts are developed on. See
# docs/how-to/containers.md; `docker compose build` builds both.

# The Python that the tests run with.
ARG PYTHON=3.11

# --- anvil, of the version and the digest that contracts/package-lock.json has --------------------
FROM node:22-bookworm-slim AS toolchain
WORKDIR /contracts
COPY contracts/package.json contracts/package-lock.json contracts/.npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM debian:bookworm-slim AS chain
RUN useradd --uid 10001 --create-home tradefl \
    && install --directory --owner=tradefl --group=tradefl /state
COPY --from=toolchain /contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil /usr/local/bin/
USER 10001:10001
VOLUME /state
EXPOSE 8545
ENTRYPOINT ["anvil"]
CMD ["--host", "0.0.0.0", "--block-time", "1", "--state", "/state/chain.json", "--state-interval", "1"]

# --- the package, with what it needs and nothing else ---------------------------------------------
FROM python:${PYTHON}-slim-bookworm AS build
# Which parts: each is an extra of pyproject.toml.
ARG EXTRAS=settlement,federation,charts,ui
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/tradefl \
    && /opt/tradefl/bin/pip install --no-cache-dir --only-binary=:all: --no-binary=tradefl ".[${EXTRAS}]"

# The last stage is the one that `docker build .` makes.
FROM python:${PYTHON}-slim-bookworm AS tradefl
# The compiled kernels run in parallel through OpenMP, which the slim image leaves out.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# /state is for a volume: what an agent must remember. Whoever runs the container owns a folder in it.
RUN useradd --uid 10001 --create-home tradefl \
    && install --directory --owner=tradefl --group=tradefl /work \
    && install --directory --mode=1777 /state
COPY --from=build /opt/tradefl /opt/tradefl
# Nothing reports on its use, and compiled loops are kept where anybody may write.
ENV PATH=/opt/tradefl/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1 \
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    STREAMLIT_BROWSER_GATHER_USAGE_STATS=false \
    NUMBA_CACHE_DIR=/tmp/numba \
    XDG_STATE_HOME=/state
WORKDIR /work
VOLUME /state
USER 10001:10001
ENTRYPOINT ["tradefl"]
CMD ["--help"]
