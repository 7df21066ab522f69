#pragma once

namespace caravan {

/// Tags of messages between two ranks: one for each purpose, so that none is taken for another's.
enum MessageTag : int {
  kForwardTag,         ///< a stage's output
  kBackwardTag,        ///< the gradient of a stage's input
  kSharedGradientTag,  ///< of a parameter that several stages use
  kPipelineReportTag,  ///< what ranks of a pipeline say of a step
  kTimelineTag,        ///< their measured spans
  kTextTag,            ///< texts that one rank gathers
};

}  // namespace caravan
