# caravan_library(core SHARED SOURCES … PUBLIC … PRIVATE …): target caravan_core, alias Caravan::core.
function(caravan_warnings target)
  # An operator's optional views are left out of its designated initialisers on purpose.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wno-missing-field-initializers
    $<$<BOOL:${CARAVAN_WERROR}>:-Werror>)
  if(CARAVAN_AUDIT)
    target_compile_definitions(${target} PRIVATE CARAVAN_AUDIT)
  endif()
endfunction()

function(caravan_library name kind)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "caravan_library(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  add_library(caravan_${name} ${kind} ${arg_SOURCES})
  add_library(Caravan::${name} ALIAS caravan_${name})
  set_target_properties(caravan_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(caravan_${name} PUBLIC cxx_std_20)
  target_include_directories(caravan_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(caravan_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  caravan_warnings(caravan_${name})
endfunction()
