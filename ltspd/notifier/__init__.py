"""The notifier: a process of the user's desktop session that tells an administrator how builds ended."""
