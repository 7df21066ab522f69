#pragma once

#include <string>

#include "caravan/comm.hpp"
#include "jobs/convert/conversion.hpp"

namespace caravan::jobs {

/// [every rank] Writes all of it beside `destination`, each rank about as many bytes as the others, and puts
/// it in place when everything is on the disk. IoError, before anything is written, when the disk has not the
/// space.
void write_conversion(const Conversion& conversion, const io::WeightSource& source,
                      const std::string& destination, Communicator& world);

}  // namespace caravan::jobs
