"""The drawer of sinks: where committed records are told."""
