#!/bin/sh
# Serves the app. In the cloud the Lambda Web Adapter starts this as the function's handler, waits for
# AWS_LWA_READINESS_CHECK_PATH, and keeps its connection to the app for 4 s at most: the app keeps it for longer.
# Output is not buffered, or metrics would wait in a frozen process. At SIGTERM what is under way has 3 s to end; then
# it is cut, and settled with what was seen of it.
export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}/opt/python${LAMBDA_RUNTIME_DIR:+:$LAMBDA_RUNTIME_DIR}"
exec python -u -m uvicorn handler:app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" --http httptools --loop asyncio \
  --lifespan on --no-access-log --no-server-header --timeout-keep-alive 65 --timeout-graceful-shutdown 3
