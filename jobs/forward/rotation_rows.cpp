#include "jobs/forward/rotation_rows.hpp"

#include "caravan/check.hpp"

namespace caravan::jobs {

RotationRows::RotationRows(Device& device, const ParameterStore& parameters) : device_(device) {
  for (const auto& buffer : parameters.buffers()) {
    CARAVAN_CHECK(buffer->name != "positions.sinusoidal", IoError,
                  "position_ids for a model with sinusoidal positions (only rotations take them)");
    if (buffer->name != "rope.cos" && buffer->name != "rope.sin") continue;
    Table table{buffer->data, std::vector<float>(static_cast<std::size_t>(buffer->data.count()))};
    device.copy_to_host(Lane::compute, table.values.data(), table.rows.data, table.rows.bytes());
    tables_.push_back(std::move(table));
  }
  device.synchronize();
}

void RotationRows::place(std::int64_t first, std::span<const std::int64_t> positions) {
  for (const Table& table : tables_) {
    const std::int64_t width = table.rows.extent(1);
    std::vector<float> values;
    for (std::int64_t position : positions) {
      CARAVAN_CHECK(position >= 0 && position < table.rows.extent(0), Error, "a position outside the table");
      const auto row = table.values.begin() + position * width;
      values.insert(values.end(), row, row + width);
    }
    write(table, first, values);
  }
  first_ = first;
  count_ = static_cast<std::int64_t>(positions.size());
}

void RotationRows::restore() {
  for (const Table& table : tables_) {
    const std::int64_t width = table.rows.extent(1);
    write(table, first_,
          std::span(table.values)
              .subspan(static_cast<std::size_t>(first_ * width), static_cast<std::size_t>(count_ * width)));
  }
  count_ = 0;
}

/// The values may be gone when this returns.
void RotationRows::write(const Table& table, std::int64_t first, std::span<const float> values) {
  if (values.empty()) return;
  const auto count = static_cast<std::int64_t>(values.size()) / table.rows.extent(1);
  const TensorView rows = table.rows.rows(first, first + count);
  device_.copy_from_host(Lane::compute, rows.data, values.data(), rows.bytes());
  device_.synchronize();
}

}  // namespace caravan::jobs
