"""What a run shows: metric files, TensorBoard, plots, overlays and the report page."""
