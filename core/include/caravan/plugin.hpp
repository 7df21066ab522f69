#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
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
int create_component(const caravan_host* host, const caravan_config* config, void** out,
                     caravan_error* error) noexcept {
  try {
    // The interface pointer crosses, not the leaf: their addresses may differ.
    typename T::Interface* object = new T(Host::from(host), *reinterpret_cast<const Config*>(config));
    *out = object;
    return CARAVAN_OK;
  } catch (const std::exception& exception) {
    fill_error(error, exception);
  } catch (...) {
    fill_error(error, Error("an exception that is no std::exception"));
  }
  return CARAVAN_FAILED;
}

template <class T>
void destroy_component(void* object) noexcept {
  delete static_cast<typename T::Interface*>(object);
}

template <std::size_t N>
constexpr std::size_t index_size(const caravan_component (&components)[N]) {
  std::size_t size = 0;
  for (const caravan_component& one : components) {
    size += std::string_view(one.kind).size() + std::string_view(one.name).size() + 2;
  }
  return size;
}

/// "kind/name\n" of each component. It stands in the file's section `caravan_index`, so that a host finds the
/// one plugin that it needs by reading a few bytes of each file, without opening (and so running) any other.
template <std::size_t Size, std::size_t N>
constexpr std::array<char, Size> index_text(const caravan_component (&components)[N]) {
  std::array<char, Size> text{};
  std::size_t at = 0;
  const auto put = [&](std::string_view part, char end) {
    for (const char c : part) text[at++] = c;
    text[at++] = end;
  };
  for (const caravan_component& one : components) {
    put(one.kind, '/');
    put(one.name, '\n');
  }
  return text;
}

}  // namespace detail

/// The constant that describes class T. T has:
///   using Interface = …;  an abstract class with `static constexpr const char* kKind` and
///                         `static constexpr std::uint32_t kKindVersion`
///   static constexpr const char* kName, *kSummary;
///   static constexpr caravan_param kParams[] = {…};  or an empty std::array<caravan_param, 0>
///   T(const Host&, const Config&);  receives validated values only; throws caravan::Error
template <class T>
constexpr caravan_component component() {
  return {sizeof(caravan_component),
          T::Interface::kKind,
          T::Interface::kKindVersion,
          T::kName,
          T::kSummary,
          std::data(T::kParams),
          static_cast<std::uint32_t>(std::size(T::kParams)),
          &detail::create_component<T>,
          &detail::destroy_component<T>};
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
#define CARAVAN_PLUGIN(name_, version_, license_, summary_, ...)                                  \
  static constexpr caravan_component caravan_components_[] = {__VA_ARGS__};                       \
  __attribute__((used, section("caravan_index"))) static constexpr auto caravan_index_ =          \
      ::caravan::detail::index_text<::caravan::detail::index_size(caravan_components_)>(          \
          caravan_components_);                                                                   \
  extern "C" __attribute__((visibility("default"))) const caravan_plugin CARAVAN_PLUGIN_VARIABLE; \
  extern "C" const caravan_plugin CARAVAN_PLUGIN_VARIABLE = {                                     \
      sizeof(caravan_plugin),                                                                     \
      CARAVAN_ABI_MAJOR,                                                                          \
      CARAVAN_ABI_MINOR,                                                                          \
      CARAVAN_FINGERPRINT,                                                                        \
      name_,                                                                                      \
      version_,                                                                                   \
      license_,                                                                                   \
      summary_,                                                                                   \
      caravan_components_,                                                                        \
      static_cast<std::uint32_t>(std::size(caravan_components_))}
