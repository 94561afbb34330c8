"""What the alert table must do, as scenarios on the real control plane: one file for each family of rows."""
