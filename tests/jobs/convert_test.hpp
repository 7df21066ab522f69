#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/safetensors/set.hpp"
#include "io/safetensors/writer.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

namespace caravan::test {

/// A tensor as a file holds it.
struct StoredTensor {
  std::string type;
  std::vector<std::int64_t> extents;
  std::vector<std::byte> bytes;
  bool operator==(const StoredTensor&) const = default;
};

inline void PrintTo(const StoredTensor& tensor, std::ostream* out) {
  *out << tensor.type << " of " << tensor.bytes.size() << " bytes";
}

using StoredTensors = std::map<std::string, StoredTensor>;

inline StoredTensors tensors_of(const std::string& folder_or_file) {
  const io::SafetensorsSet set(folder_or_file);
  StoredTensors tensors;
  for (const std::string& name : set.names()) {
    const io::SafetensorsInfo& info = set.info(name);
    tensors[name] = {std::string(info.element->name), info.extents, set.file_of(name).raw(name)};
  }
  return tensors;
}

/// Writes them as one file.
inline void write_tensors(const std::string& path, StoredTensors& tensors) {
  io::SafetensorsWriter writer(path);
  for (auto& [name, tensor] : tensors) {
    Shape shape;
    for (std::int64_t extent : tensor.extents) shape.append(extent);
    writer.add(name, TensorView(tensor.bytes.data(), *io::find_element(tensor.type)->dtype, shape));
  }
  writer.commit();
}

/// The names whose tensors differ, or that only one has.
inline std::vector<std::string> differences(const StoredTensors& a, const StoredTensors& b) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : a)
    if (!b.contains(name) || !(b.at(name) == tensor)) names.push_back(name);
  for (const auto& [name, tensor] : b)
    if (!a.contains(name)) names.push_back(name);
  return names;
}

/// `caravan convert` in a folder of its own.
class ConvertTest : public JobTest {
 protected:
  Outcome convert(const std::string& from, const std::string& to, const std::vector<std::string>& more,
                  int ranks = 0) const {
    std::vector<std::string> arguments{"convert", from, to};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run({arguments, ranks, {}, 60});
  }
  /// A copy of a reference folder, to be changed.
  std::string take(const std::string& folder) const {
    std::filesystem::copy(folder, file("model"));
    for (const auto& entry : std::filesystem::directory_iterator(file("model")))
      std::filesystem::permissions(entry, std::filesystem::perms::owner_all);
    return file("model");
  }
  nlohmann::json json_of(const std::string& name) const {
    return nlohmann::json::parse(std::ifstream(file(name)));
  }
  /// What stands in the test's folder and is not of a program's streams.
  std::vector<std::string> left_over() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      if (name.find(".tmp-") != std::string::npos) names.push_back(name);
    }
    return names;
  }
};

}  // namespace caravan::test
