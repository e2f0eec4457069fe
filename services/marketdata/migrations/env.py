from services.marketdata.models import metadata
from shared.migrations import run_env

run_env("marketdata", metadata)
