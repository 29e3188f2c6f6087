"""Pictures: overlays, contact sheets, panels, reliability diagrams, the report of an audit."""
