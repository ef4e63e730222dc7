// The job that runs before the pods.
import { isHook } from './release.mjs';

// A Secret's key each. Roots of certificates may be the same.
const secretsOf = workload => workload.spec.template.spec.volumes.filter(volume => volume.secret && volume.name !== 'postgres-tls')
  .flatMap(({ secret }) => (secret.items ?? [{ key: '*' }]).map(item => `${secret.secretName}/${item.key}`));

export default {
  'the migration is a job before installs and upgrades, with a role of its own and nothing of the service\'s': {
    *wrong(release) {
      const { job } = release;
      if (release.set === 'minimal') {
        yield* job ? ['a job though migration.enabled is false'] : [];
        return;
      }

      for (const hook of release.manifests.filter(isHook)) {
        const annotations = hook.metadata.annotations;
        if (annotations['helm.sh/hook'] !== 'pre-install,pre-upgrade' || annotations['helm.sh/hook-delete-policy'] !== 'before-hook-creation,hook-succeeded') {
          yield `${hook.kind} ${hook.metadata.name}: ${JSON.stringify(annotations)}`;
        }

        if (hook.kind !== 'Job' && !(Number(annotations['helm.sh/hook-weight']) < Number(job?.metadata.annotations['helm.sh/hook-weight']))) {
          yield `${hook.kind} ${hook.metadata.name} is made after the job`;
        }
      }

      if (!job || !isHook(job)) {
        yield 'there is no job, or it is no hook';
        return;
      }

      const { backoffLimit, activeDeadlineSeconds, podFailurePolicy, template } = job.spec;
      if (!(backoffLimit >= 0) || !(activeDeadlineSeconds > 0) || template.spec.restartPolicy !== 'Never'
        || !podFailurePolicy.rules.some(({ action, onExitCodes }) => action === 'FailJob' && String(onExitCodes?.values) === '2,3')) {
        yield 'the job has no end, or tries again what cannot succeed';
      }

      const [container] = job.spec.template.spec.containers;
      if (String([...container.command, ...container.args]) !== '/app/otpctl,migrate,--apply' || container.image !== release.service.image) {
        yield 'the job does not run otpctl migrate --apply of the same image';
      }

      const ofService = secretsOf(release.deployment);
      yield* secretsOf(job).filter(secret => ofService.includes(secret)).map(secret => `the job and the service both have ${secret}`);
      yield* job.spec.template.spec.volumes.filter(volume => !['postgres', 'postgres-tls', 'tmp'].includes(volume.name)).map(volume => `the job has ${volume.name}`);
      // What the chart makes is not there yet.
      if (release.all('ServiceAccount').some(account => account.metadata.name === job.spec.template.spec.serviceAccountName) || container.envFrom) {
        yield 'the job needs what is made after it';
      }

      if (release.settings.OtpAuth__MigrateOnStart !== 'false') {
        yield 'the service migrates as well';
      }
    },
    broken: [
      release => { release.job.metadata.annotations['helm.sh/hook'] = 'pre-install,pre-upgrade,pre-rollback'; },
      release => { release.job.metadata.annotations['helm.sh/hook-delete-policy'] = 'hook-failed'; },
      release => { release.one('NetworkPolicy', 'migration').metadata.annotations['helm.sh/hook-weight'] = '1'; },
      release => { delete release.job.spec.activeDeadlineSeconds; },
      release => { release.job.spec.template.spec.restartPolicy = 'OnFailure'; },
      release => { release.job.spec.podFailurePolicy.rules.shift(); },
      release => { release.job.spec.template.spec.containers[0].args.pop(); },
      release => { release.job.spec.template.spec.volumes[0] = release.deployment.spec.template.spec.volumes.find(volume => volume.name === 'postgres'); },
      release => { release.job.spec.template.spec.volumes.push({ name: 'kek', secret: { secretName: 'otp-kek' } }); },
      release => { release.job.spec.template.spec.serviceAccountName = release.one('ServiceAccount').metadata.name; },
      release => { release.settings.OtpAuth__MigrateOnStart = 'true'; },
    ],
  },
};
