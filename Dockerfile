# The image of shopease, and the image of the emulated AWS in compose.yaml (target `emulator`).
#
# A tag can change, a digest cannot. `docker buildx imagetools inspect python:3.13-slim` shows today's digest:
#   docker build --build-arg BASE=python:3.13-slim@sha256:... .
# Any base with python3 (3.11 or later), its venv module and useradd works, such as debian:12-slim with python3-venv.
ARG BASE=python:3.13-slim

# pip has its own stage, so the image does not contain it. The secret `pip.conf` can name a company's own index.
FROM ${BASE} AS pip
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/pip
WORKDIR /source

FROM pip AS build
# The optional packages of shopease, separated by commas: alerts, clv, embedded, lineage, query, report, shell.
ARG EXTRAS=alerts,embedded,lineage,query,shell
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/shopease \
    && /opt/pip/bin/pip --python /opt/shopease/bin/python install ".[${EXTRAS}]"

FROM pip AS emulator
COPY tests/aws/ministack.txt tests/aws/ministack_server.py ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/pip/bin/pip install --requirement ministack.txt
ENV HOME=/tmp \
    BIND_HOST=0.0.0.0 \
    GATEWAY_PORT=4566 \
    IOT_MTLS_ENABLED=0 \
    PYTHONDONTWRITEBYTECODE=1 \
    SFTP_ENABLED=0
USER 10002:10002
ENTRYPOINT ["/opt/pip/bin/python", "/source/ministack_server.py"]

FROM ${BASE} AS shopease
LABEL org.opencontainers.image.title="shopease" \
      org.opencontainers.image.description="PostgreSQL to a bronze, silver and gold data lake" \
      org.opencontainers.image.licenses="MIT"
# A fixed uid, for the owner of a volume and for runAsUser of Kubernetes.
RUN groupadd --gid 10001 shopease \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data shopease \
    && install -d -o 10001 -g 10001 /data /data/home /data/lake
COPY --from=build /opt/shopease /opt/shopease
ENV PATH=/opt/shopease/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SHOPEASE_HOME=/data/home \
    SHOPEASE_LAKE=/data/lake
USER 10001:10001
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["shopease"]
CMD ["--help"]
