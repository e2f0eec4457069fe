from services.reporting.models import metadata
from shared.migrations import run_env

run_env("reporting", metadata)
