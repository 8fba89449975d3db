"""One format of event files each: from a file to recordings."""
