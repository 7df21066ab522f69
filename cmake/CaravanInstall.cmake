# What is installed beside targets and public headers: pages, examples, modulefiles. Everything finds its neighbours from its own
# place, so that an installation may be moved.
install(FILES README.md CHANGELOG.md LICENSE CITATION.cff SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN *.md PATTERN *.py)
install(DIRECTORY plugins/examples/out_of_tree DESTINATION ${CMAKE_INSTALL_DATADIR}/caravan/examples)
install(FILES jobs/quickstart.yaml jobs/lora.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/caravan/examples)

# Lmod reads the .lua, Environment Modules and Lmod the other. The prefix is filled in when it is known: when it is installed.
set(CARAVAN_MODULES "" CACHE STRING "Modules that caravan's modulefile loads before it (the MPI, for one): names, ; between")
install(CODE "
  set(CARAVAN_VERSION \"${PROJECT_VERSION}\")
  set(CARAVAN_MODULES \"${CARAVAN_MODULES}\")
  set(CARAVAN_DATADIR \"${CMAKE_INSTALL_DATADIR}\")
  set(CARAVAN_PREFIX \"\${CMAKE_INSTALL_PREFIX}\")
  if(CARAVAN_PREFIX MATCHES _CPack_Packages)  # where an archive is packed, which is nowhere later
    set(CARAVAN_PREFIX \"${CMAKE_INSTALL_PREFIX}\")
  endif()
  set(CARAVAN_TEMPLATES \"${PROJECT_SOURCE_DIR}/packaging/modulefiles\")
  set(CARAVAN_MODULEFILES \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/caravan/modulefiles\")
  include(\"${PROJECT_SOURCE_DIR}/packaging/modulefiles/fill.cmake\")")
