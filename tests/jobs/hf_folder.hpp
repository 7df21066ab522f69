#pragma once

#include <cmath>
#include <fstream>
#include <functional>

#include "io/safetensors/reader.hpp"
#include "io/safetensors/writer.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

namespace caravan::test {

/// A copy of one of the folders of public bug reports, to be changed; `caravan forward` on it.
class HfFolder : public JobTest {
 protected:
  void take(const std::string& name) {
    const std::string folder = case_file("hf_folders/" + name);
    ASSERT_FALSE(folder.empty());
    std::filesystem::copy(folder, file("model"));
    for (const auto& entry : std::filesystem::directory_iterator(file("model")))
      std::filesystem::permissions(entry, std::filesystem::perms::owner_all);
    const io::SafetensorsFile expected(file("model/expected_outputs.safetensors"));
    ids_ = expected.read_as_i64("input_ids");
    shape_ = expected.info("input_ids").shape();
  }

  void change_config(const nlohmann::json& changes) const {
    auto config = nlohmann::json::parse(std::ifstream(file("model/config.json")));
    config.update(changes);
    spill(file("model/config.json"), config.dump());
  }

  /// input_ids and more, of the same shape, to inputs.safetensors.
  std::string write_inputs(const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& more = {}) {
    auto tensors = more;
    tensors.emplace_back("input_ids", ids_);
    io::SafetensorsWriter writer(file("inputs.safetensors"));
    for (auto& [name, values] : tensors) writer.add(name, TensorView(values.data(), DType::i64, shape_));
    writer.commit();
    return file("inputs.safetensors");
  }

  Outcome forward(const std::string& inputs, const std::vector<std::string>& more = {}, int ranks = 0) const {
    std::vector<std::string> arguments{
        "forward",  "--model", file("model"), "--inputs", inputs, "--outputs", file("out.safetensors"),
        "--device", "host",    "--precision", "fp32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run({arguments, ranks, {}, 60});
  }

  double loss() const { return io::SafetensorsFile(file("out.safetensors")).read_as_f32("loss")[0]; }
  std::vector<float> logits() const {
    return io::SafetensorsFile(file("out.safetensors")).read_as_f32("logits");
  }

  std::vector<std::int64_t> ids_;
  Shape shape_;
};

}  // namespace caravan::test
