"""llama.cpp's own server, as a process: `python llama_server.py MODEL.gguf PORT`. Ends with SIGTERM."""

from __future__ import annotations

import signal
import sys

import xllamacpp

settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.port = int(sys.argv[2])
settings.model_alias = {"organism"}
settings.n_ctx = 4096
settings.n_parallel = 4
settings.n_gpu_layers = 0
settings.cpuparams.n_threads = 1
settings.embedding = len(sys.argv) > 3
server = xllamacpp.Server(settings)
print(server.listening_address, flush=True)
signal.pause()
