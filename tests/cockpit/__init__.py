"""The page in Cockpit: real servers, a real browser."""
