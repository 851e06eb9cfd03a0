"""The pages of docs/ that are written from the code: parameters, claims, file formats."""
