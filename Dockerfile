# The router's image: the router, the language that it reads its contract in, and what those two need at run time.
#   docker build --tag registry.example.com/paddock:0.1.0 .
# or, with labels, a fixed time and the list of what is in it beside it: tools/router_image.sh (docs/image.md).
# The base image is pinned to a release; name its digest as well where the same bytes are wanted for ever:
#   --build-arg BASE=python:3.13.16-slim-bookworm@sha256:...
ARG BASE=python:3.13.16-slim-bookworm

FROM ${BASE} AS build
# Compiled files carry a hash of their source in place of its time, so that two builds give the same bytes.
ENV PIP_BREAK_SYSTEM_PACKAGES=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYC_INVALIDATION_MODE=CHECKED_HASH \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
# Where the way to the package index has a certificate of its own: the bundle to trust, which the build has mounted.
ARG PIP_CERT
ARG SSL_CERT_FILE
WORKDIR /build
COPY tools/uv.lock docker/router.lock docker/sbom.lock ./
# Every file that is fetched is known by its hash, and nothing of it is built here.
RUN pip install --require-hashes --only-binary=:all: --requirement uv.lock \
    && uv venv /opt/paddock \
    && uv pip sync --python /opt/paddock/bin/python --require-hashes --only-binary=:all: router.lock
# The list of what was really installed, with licences. Its writer stays behind in this stage.
RUN uv venv /opt/sbom \
    && uv pip sync --python /opt/sbom/bin/python --require-hashes --only-binary=:all: sbom.lock \
    && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/paddock/sbom.cdx.json /opt/paddock
# The names of places and carriers, a third of all: the router tells numbers, and not where they are from. And uv's lock,
# which everybody may write to.
RUN rm -r /opt/paddock/.lock /opt/paddock/lib/python3.*/site-packages/phonenumbers/geodata \
    /opt/paddock/lib/python3.*/site-packages/phonenumbers/carrierdata
COPY fleet_spec /opt/paddock/app/fleet_spec
COPY agent_runtime /opt/paddock/app/agent_runtime
RUN python -m compileall -q --invalidation-mode checked-hash /opt/paddock/app

FROM ${BASE}
# useradd writes the day into /etc/shadow: this day, in seconds since 1970.
ARG SOURCE_DATE_EPOCH=0
# The same user as on Kubernetes. It owns its home alone: nothing of the program can be changed by it.
RUN groupadd --gid 1000 paddock \
    && useradd --uid 1000 --gid 1000 --home-dir /home/paddock --create-home --shell /usr/sbin/nologin paddock
COPY --from=build /opt/paddock /opt/paddock
ENV PATH=/opt/paddock/bin:$PATH \
    PYTHONPATH=/opt/paddock/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /home/paddock
USER 1000:1000
EXPOSE 8080
# The router takes SIGTERM as the order to finish open replies and end. It is process 1, so that it gets it.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "agent_runtime.router"]
CMD ["--fleet", "/etc/paddock/fleet/contract.json", "--secrets", "/etc/paddock/keys", "--data", "/home/paddock/data", "--host", "0.0.0.0", "--port", "8080"]
# Last, so that another version or commit of the same files is another label and no other layer.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="paddock-router" \
      org.opencontainers.image.description="The router in front of a fleet of open models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
