"""The strategies that come with EZPath. Each is one pure function; ``docs/STRATEGIES.md`` compares them."""
