# One image for every role: `manage.py up`, or `manage.py up --role web|ingest|worker`.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY manage.py pyproject.toml LICENSE ./
COPY tracestore tracestore
COPY ingest ingest
COPY dashboards dashboards
COPY alerts alerts
COPY templates templates
COPY demo demo
RUN python -m compileall -q . \
    && useradd --uid 10001 --no-create-home tracestore \
    && install -d -o tracestore -g tracestore /data

USER tracestore
ENV TRACESTORE_DATA=/data \
    TRACESTORE_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000 4317 4318
# The start takes a while only when it brings the databases up to date.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "manage.py", "up"]
