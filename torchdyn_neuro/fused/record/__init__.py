"""From a module to the graph of its step, and to the guards under which that holds."""
