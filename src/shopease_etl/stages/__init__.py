"""The pipeline's stages, one module and one public function for each."""
