# Writes the commit that is built into TO, and touches the file only when that changes.
cmake_minimum_required(VERSION 3.22)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --exclude=* OUTPUT_VARIABLE commit
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${TO} CONTENT "#include \"jobs/bench/commit.hpp\"\nconst char* caravan::jobs::built_commit() {\n  return \"@commit@\";\n}\n" @ONLY)
