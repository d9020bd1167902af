"""The bench: ltspd and the server it wants to replace, measured side by side in the lab."""
