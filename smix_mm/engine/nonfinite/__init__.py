"""What happens at a loss that is not finite, and its batch run again."""
