"""What a prediction is worth: uncertainty, agreement, predicted quality."""
