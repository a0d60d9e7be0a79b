"""What happens, handed to code outside of the loop: receivers of signals."""
