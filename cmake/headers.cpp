int main() {}  // A target of precompiled headers needs a source; that of the tests is an executable.
