# syntax=docker/dockerfile:1
# The page, and training, without installing anything else. Research software, not a medical device.
#
#   docker build --target page --tag echodfkd-page .
#   docker run --rm --publish 127.0.0.1:8112:8112 echodfkd-page
#
#   docker build --tag echodfkd --build-arg REQUIREMENTS=requirements-cuda.txt .
#   docker run --rm --gpus all --volume echodfkd-runs:/work/runs --volume echodfkd-data:/data \
#       echodfkd --config=configs/synthetic.py
FROM python:3.13-slim-trixie AS package
ARG REQUIREMENTS=requirements.txt
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# Memory fresh from the system is slow on small virtual machines; keep what was freed.
ENV MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=4000000000
WORKDIR /source
COPY pyproject.toml README.md LICENSE requirements*.txt ./
COPY echodfkd_jax echodfkd_jax
RUN pip install --no-cache-dir --requirement "${REQUIREMENTS}" \
    && useradd --create-home --uid 1000 echo \
    && install --directory --owner=echo /work /work/runs /data

FROM package AS page
USER 1000
WORKDIR /work
EXPOSE 8112
# Who reaches the page is up to `--publish`; it has neither password nor encryption.
ENTRYPOINT ["echodfkd", "serve", "--config.serve.host=0.0.0.0"]

FROM package AS training
WORKDIR /work
COPY main.py ./
COPY configs configs
USER 1000
ENV TFDS_DATA_DIR=/data
VOLUME ["/work/runs", "/data"]
ENTRYPOINT ["python", "main.py"]
CMD ["--help"]
