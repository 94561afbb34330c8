"""Where the audit log's newest checkpoint is kept outside its database, and what that says of the log."""
