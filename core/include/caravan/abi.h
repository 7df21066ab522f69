/* The C boundary between caravan and its plugins. Frozen within a major version: fields are only appended,
 * and are read only when struct_size covers them. Nothing here depends on a C++ layout, so it can be read
 * before the fingerprints have been compared. */
#ifndef CARAVAN_ABI_H
#define CARAVAN_ABI_H

#include <stdint.h>

#define CARAVAN_ABI_MAJOR 9
#define CARAVAN_ABI_MINOR 0
#define CARAVAN_PLUGIN_SYMBOL "caravan_plugin_v1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct caravan_host caravan_host;     /* caravan::Host, see plugin.hpp */
typedef struct caravan_config caravan_config; /* caravan::Config, validated against the component's params */

/* One parameter of a component. type: "int", "float", "string", "path", each also with " list", "bool",
 * "map", "int or a|b" (an integer or one of these words), "a|b|c" (one of these words), "a|b|c or map",
 * "string or map" or "string or map list". default_value: text as in YAML;
 * NULL means required; "null" means optional. range: "", "> 0", ">= 1", "[0, 1]", "(0, 1)", "[0, 1)". unit:
 * "" or "tokens", "s", ... doc: one sentence. */
typedef struct caravan_param {
  const char* name;
  const char* type;
  const char* default_value;
  const char* unit;
  const char* range;
  const char* doc;
} caravan_param;

enum { CARAVAN_OK = 0, CARAVAN_FAILED = 1 };

/* Filled by a failing create; text is truncated to fit and always terminated. */
typedef struct caravan_error {
  uint32_t struct_size;
  int32_t exit_code;
  char text[4096];
} caravan_error;

typedef struct caravan_component {
  uint32_t struct_size;
  const char* kind;      /* "schedule", "layer", "device", ... */
  uint32_t kind_version; /* version of that kind's C++ interface */
  const char* name;
  const char* summary; /* one sentence */
  const caravan_param* params;
  uint32_t num_params;
  int (*create)(const caravan_host* host, const caravan_config* config, void** out,
                caravan_error* error); /* never throws */
  void (*destroy)(void* object);       /* frees what create made */
} caravan_component;

typedef struct caravan_plugin {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  const char* fingerprint; /* "sdk=0.1.0+7a42e5f1;cxxabi=1017;..." */
  const char* name;
  const char* version;
  const char* license;
  const char* summary;
  const caravan_component* components;
  uint32_t num_components;
} caravan_plugin;

#ifdef __cplusplus
}
#endif
#endif
