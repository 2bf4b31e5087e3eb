// Deliberate faults, one at a time, compiled into the shipping cores by -DSLUICE_MUTATION=N. The
// simulator must find every one of them; a build without the define contains none.
#pragma once

#ifndef SLUICE_MUTATION
#define SLUICE_MUTATION 0
#endif

namespace sluice {

// A receiver's records are acknowledged before they are replicated.
inline constexpr bool kMutationAckBeforeReplication = SLUICE_MUTATION == 1;
// A driver does not look at the epoch of what it reads and gets.
inline constexpr bool kMutationEpochNotChecked = SLUICE_MUTATION == 2;
// A share of an old generation is accepted.
inline constexpr bool kMutationOldShareAccepted = SLUICE_MUTATION == 3;
// An executor that gets a new grant keeps its state and layers.
inline constexpr bool kMutationLayersKept = SLUICE_MUTATION == 4;
// Output is published before its batch is decided.
inline constexpr bool kMutationPublishedBeforeDecided = SLUICE_MUTATION == 5;
// A producer's numbers are not compared with the last logged one.
inline constexpr bool kMutationProducerNumberNotChecked = SLUICE_MUTATION == 6;
// Changes of state are forgotten before a checkpoint that has them is sealed.
inline constexpr bool kMutationChangesForgottenEarly = SLUICE_MUTATION == 7;
// User code with effects outside does not wait for what the driver permits.
inline constexpr bool kMutationEffectsNotHeldBack = SLUICE_MUTATION == 8;
// A block is announced before it is in the received-data log.
inline constexpr bool kMutationAckBeforeLogged = SLUICE_MUTATION == 9;
// Batches go on in another shape before a checkpoint has the state of the last one.
inline constexpr bool kMutationReshapedUnsealed = SLUICE_MUTATION == 10;
// A file of several batches is made before it is logged which ones it has.
inline constexpr bool kMutationRolledBeforeLogged = SLUICE_MUTATION == 11;
// A letter that was run again is run again by every further wish.
inline constexpr bool kMutationLetterRunTwice = SLUICE_MUTATION == 20;
// A decided batch that rebuilds state does not leave out what its decision names.
inline constexpr bool kMutationLeftOutForgotten = SLUICE_MUTATION == 21;
// Of the changes of decided batches the last are not taken over.
inline constexpr bool kMutationDeltaLeftOut = SLUICE_MUTATION == 22;
// Changes that were made to one branch of the state are put on another one.
inline constexpr bool kMutationBranchesMixed = SLUICE_MUTATION == 23;
// The shares of a copy are folded beside those of the task it is a copy of.
inline constexpr bool kMutationCopyFoldedToo = SLUICE_MUTATION == 30;
// A copy that fails fails its batch.
inline constexpr bool kMutationCopyCharged = SLUICE_MUTATION == 31;

}  // namespace sluice
