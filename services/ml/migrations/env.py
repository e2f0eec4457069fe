from services.ml.models import metadata
from shared.migrations import run_env

run_env("ml", metadata)
