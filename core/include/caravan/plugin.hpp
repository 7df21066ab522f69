#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string_view>

#include "caravan/abi.h"
#include "caravan/error.hpp"
#include "caravan/fingerprint.h"  // generated: CARAVAN_FINGERPRINT
#include "caravan/host.hpp"
#include "caravan/schema.hpp"

namespace caravan {

namespace detail {

void fill_error(caravan_error* error, const std::exception& exception) noexcept;

template <class T>
int create_component(const caravan_host* host, const caravan_config* config, void** out, caravan_error* error) noexcept {
  try {
    // The interface pointer crosses, not the leaf: the receiver casts to T::Interface, whose address may differ.
    typename T::Interface* object = new T(Host::from(host), *reinterpret_cast<const Config*>(config));
    *out = object;
    return CARAVAN_OK;
  } catch (const std::exception& exception) {
    fill_error(error, exception);
  }
  return CARAVAN_FAILED;
}

template <class T>
void destroy_component(void* object) noexcept {
  delete static_cast<typename T::Interface*>(object);
}

}  // namespace detail

/// The constant that describes class T. T has:
///   using Interface = …;              an abstract class with `static constexpr std::string_view kKind` (as const char*)
///                                     and `static constexpr std::uint32_t kKindVersion`
///   static constexpr const char* kName, *kSummary;
///   static constexpr caravan_param kParams[] = {…};  or an empty std::array<caravan_param, 0>
///   T(const Host&, const Config&);    receives validated values only; throws caravan::Error
template <class T>
constexpr caravan_component component() {
  return {sizeof(caravan_component), T::Interface::kKind, T::Interface::kKindVersion, T::kName, T::kSummary,
          std::data(T::kParams), static_cast<std::uint32_t>(std::size(T::kParams)),
          &detail::create_component<T>, &detail::destroy_component<T>};
}

}  // namespace caravan

#ifdef CARAVAN_STATIC_PLUGIN
#define CARAVAN_CONCAT_(a, b) a##b
#define CARAVAN_CONCAT(a, b) CARAVAN_CONCAT_(a, b)
#define CARAVAN_PLUGIN_VARIABLE CARAVAN_CONCAT(caravan_plugin_v1_, CARAVAN_STATIC_PLUGIN)
#else
#define CARAVAN_PLUGIN_VARIABLE caravan_plugin_v1
#endif

/// Once in a plugin: its name, version, licence, one sentence, and its components.
#define CARAVAN_PLUGIN(name_, version_, license_, summary_, ...)                                                      \
  static constexpr caravan_component caravan_components_[] = {__VA_ARGS__};                                           \
  extern "C" __attribute__((visibility("default"))) extern const caravan_plugin CARAVAN_PLUGIN_VARIABLE;              \
  extern "C" const caravan_plugin CARAVAN_PLUGIN_VARIABLE = {                                                         \
      sizeof(caravan_plugin), CARAVAN_ABI_MAJOR,     CARAVAN_ABI_MINOR, CARAVAN_FINGERPRINT,                          \
      name_,                  version_,              license_,          summary_,                                     \
      caravan_components_,    static_cast<std::uint32_t>(std::size(caravan_components_))}
