"""A Label Studio server: reaching it, its projects, running one."""
