#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;

/// Errors of components name the line of the job that chose them.
class ComponentPlace : public JobTest {};

TEST_F(ComponentPlace, EveryErrorOfAComponentNamesFileAndLineOfTheJob) {
  const std::string head = "name: x\ntrain: {steps: 1, sequence_length: 8, lr: 0.1}\n";
  const std::string model = "model: {preset: debugmodel, vocab_size: 64}\n",
                    data = "data: {source: synthetic}\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {head + model + data + "device: hots\n", "job.yaml:5: device=hots"},
      {head + model + data + "device: reference\ndevice_options: {x: 1}\n", "job.yaml:6: unknown key 'x'"},
      {head + model + data + "device: reference\ntrain: {}\n", "job.yaml:6: the key 'train' stands twice"},
      {head + model + "data:\n  source: sinthetic\n", "job.yaml:5: data.source=sinthetic"},
      {head + data + "model:\n  preset: debugmodel\n  plugin: lama\n", "job.yaml:6: model.plugin=lama"},
      {head + data + "model:\n  dim: 63\n  layers: 1\n  heads: 4\n  vocab_size: 64\n", "job.yaml:4"},
      {head + model + data + "optimizer:\n  name: adma\n", "job.yaml:6: optimizer.name=adma"},
      {head + model + data + "optimizer:\n  name: adamw\n  beta: 1\n", "job.yaml:7: unknown key 'beta'"},
      {head + model + data + "parallel:\n\n  schedule: gpip\n", "job.yaml:7: parallel.schedule=gpip"},
      {head + model + data + "parallel:\n  schedule: csv\n",
       "job.yaml:6: key 'file' in parallel.schedule_options"},
      {head + model + "data:\n  source: tokens\n  path: /nowhere\n", "job.yaml:4"},
      {head + model + data + "parallel:\n  schedule: csv\n  schedule_options: {file: /nowhere.csv}\n",
       "job.yaml:"}};
  for (const auto& [yaml, place] : cases) {
    std::vector<std::string> arguments = {"train", job(yaml)};
    const Outcome outcome = caravan(arguments);
    EXPECT_NE(outcome.code, 0) << yaml;
    EXPECT_THAT(outcome.err, HasSubstr(place)) << yaml;
    EXPECT_EQ(outcome.errors(), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace caravan::test
