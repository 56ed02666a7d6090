"""Data out: published marts, exports, the metrics API and the dashboard."""
