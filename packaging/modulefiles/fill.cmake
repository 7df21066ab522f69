# Writes the modulefiles of an installation: CARAVAN_TEMPLATES to CARAVAN_MODULEFILES. Run while it is installed.
set(CARAVAN_LUA_LOADS "")
set(CARAVAN_TCL_LOADS "")
foreach(module IN LISTS CARAVAN_MODULES)
  string(APPEND CARAVAN_LUA_LOADS "depends_on(\"${module}\")\n")
  string(APPEND CARAVAN_TCL_LOADS "module load ${module}\n")
endforeach()
configure_file(${CARAVAN_TEMPLATES}/caravan.lua.in ${CARAVAN_MODULEFILES}/caravan/${CARAVAN_VERSION}.lua @ONLY)
configure_file(${CARAVAN_TEMPLATES}/caravan.tcl.in ${CARAVAN_MODULEFILES}/caravan/${CARAVAN_VERSION} @ONLY)
