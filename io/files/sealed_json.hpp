#pragma once

#include <cstdint>
#include <exception>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "caravan/error.hpp"

namespace caravan::io {

/// {"manifest": <body>, "xxh3": <digest of body>} as the text of a file.
std::string seal_json(const nlohmann::json& body);

/// The body of the sealed file at `path`. IoError when it is missing, has more than `most_bytes`, was cut or
/// changed, or is no JSON.
nlohmann::json read_sealed_json(const std::string& path, std::uint64_t most_bytes);

/// 16 hexadecimal digits, and back; IoError for other text.
std::string digest_to_hex(std::uint64_t digest);
std::uint64_t digest_from(const nlohmann::json& text);

/// What JSON of another form makes its library throw while `read` looks at it is an error of the file `what`
/// like any other.
template <class Read>
auto well_formed(const std::string& what, Read&& read) {
  try {
    return read();
  } catch (const IoError&) {
    throw;
  } catch (const std::exception& problem) {
    throw IoError(what + " is malformed (" + problem.what() + ")");
  }
}

}  // namespace caravan::io
