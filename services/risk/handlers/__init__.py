"""One function per use case: ask the engine, and tell the caller what came of it."""
